"""Growth rules, one a module: where weights grow, chosen by ``dst.growth=<name>``."""
