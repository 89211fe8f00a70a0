from hypothesis import settings

# A machine that runs tests is a busy machine. In CI hypothesis itself fixes its seed, and this keeps it so.
settings.register_profile("archwright", settings.default, deadline=None)
settings.load_profile("archwright")
