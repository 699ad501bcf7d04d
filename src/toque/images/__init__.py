"""Images: a model's agent, its engine and its server packed into one OCI image, the same from the same inputs."""
