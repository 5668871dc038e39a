"""Reading attributes in images, and accepting or rejecting draws."""
