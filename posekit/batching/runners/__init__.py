"""Where clips are computed: a module per `runner=`, each of which gives the same results."""
