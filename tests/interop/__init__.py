"""Models elsewhere and models from elsewhere, outside of `make test`: what other runtimes make of exported ones
(`run.sh`), and what becomes here of each architecture that Optimum-Intel exports (`python -m tests.interop.matrix`).
"""
