"""How picture and sound share one ranking: audiovisual tapes, candidate rules, and their table."""
