"""Rules of what is redundant, one a module, chosen by ``dsp.rule=<name>``."""
