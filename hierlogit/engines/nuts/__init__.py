"""The No-U-Turn sampler and its back ends."""
