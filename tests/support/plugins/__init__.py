"""pytest plugins: ``lanes``, ``timeouts`` by the clock of deadlines, ``flaky`` tests reported, ``changed`` alone."""
