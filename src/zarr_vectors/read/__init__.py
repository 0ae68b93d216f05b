"""Query → plan → fetch → decode → result: every read of a store goes through here."""
