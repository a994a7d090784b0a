"""A project key for tests in which none is looked at."""

KEY = "fp_project_0123456789_secret"
