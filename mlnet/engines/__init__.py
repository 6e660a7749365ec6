"""How networks are computed: `base` and `program` are the seam; each engine has its own folder."""
