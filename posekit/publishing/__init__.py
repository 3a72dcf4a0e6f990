"""Upload of models to the Hub, and download in advance."""
