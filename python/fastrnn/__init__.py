"""fastrnn: recurrent networks for CPUs."""
