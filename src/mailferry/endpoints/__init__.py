"""Every way in. An endpoint translates between its wire and the intake, decides nothing, and knows no other endpoint."""
