"""What the pool does, in the tools that people have: one file each, loaded only when used."""
