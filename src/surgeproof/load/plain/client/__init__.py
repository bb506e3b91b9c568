"""Our synchronous HTTP/1.1 client for plain users: gevent sockets, the calls of Locust's own."""

from surgeproof.load.plain.client.channels import Channels
from surgeproof.load.plain.client.reply import Reply
from surgeproof.load.plain.client.session import Session
from surgeproof.load.plain.client.user import SessionUser

__all__ = ["Channels", "Reply", "Session", "SessionUser"]
