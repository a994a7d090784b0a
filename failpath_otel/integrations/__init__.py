"""What frameworks need beyond a few lines of an application. Nothing here imports a framework before it is used."""
