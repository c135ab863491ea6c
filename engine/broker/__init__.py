"""Speaks IB: a client's objects in, facts and typed answers out. Only ``client`` imports a client library."""
