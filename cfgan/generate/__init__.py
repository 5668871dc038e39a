"""The main job: from a spec to a verified batch folder."""
