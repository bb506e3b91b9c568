"""The social graph and the posts: the only process that reads and writes them."""
