"""Real all-MiniLM-L6-v2 vectors behind Ollama's protocol, for measuring relevance without Ollama."""
