"""The distribution: describe a cloud, plan, converge, supervise, verify, diagnose, recover.

``context``: one cloud, seen from one of its hosts.
``model/``: what a cloud is: cloud.toml, its folders, ports and secrets.
``components/``: what a cloud consists of, one file or folder each, and the registry of them.
``config/``: layers of options, the option schema, validation.
``steps/``: reusable steps: files, packages, services, databases, accounts, certificates.
``engine/``: how change happens: steps and their graph, journal, lock, transport.
``platform/``: what an operating system does for a cloud.
``supervise/``: how services run and when they are ready.
``resources/``: what 'up' creates in a fresh cloud: flavors, images, networks, the first server.
``images/``: guest images that Skerry builds.
``hosts/``: further hosts: join, leave, migrate between.
``operations/``: what a user does: up, plan, down, destroy, status, rotate, verify.
``doctor/``: what is wrong, and what to do.
"""
