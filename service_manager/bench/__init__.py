"""`service-manager bench`: what sleep gives and costs, measured on real servers."""
