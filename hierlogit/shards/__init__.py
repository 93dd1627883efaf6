"""Tables beyond memory in shards, files with whole clusters each, and models that are fitted shard by shard."""
