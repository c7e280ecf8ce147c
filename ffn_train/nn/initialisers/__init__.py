"""Initialisers; a new one is a new module of this folder and a file in ``conf/init/``."""
