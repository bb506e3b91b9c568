"""The gateway: the public REST interface, one thin step in front of the services."""
