"""A Threads-style service on real parts: the first system that gets rehearsed.

Five processes (gateway, identity, graph, feed, worker), each run as ``python -m target_app ROLE``;
they meet only over the network, every edge through a proxy that can be broken on purpose.
"""
