"""The store by capability: what each part of `contracts.Tx` and of `contracts.Store` asks of the named queries."""
