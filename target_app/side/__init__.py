"""The side process: the media store, moderation and the sink that stands for a push service."""
