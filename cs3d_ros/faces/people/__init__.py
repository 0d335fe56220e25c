"""Who is rendered: shapes, skins, hair, glasses."""
