"""Small Llama models of our own, trained from scratch on the exact world: a teacher and a base.

tokenizer -> corpus -> pretrain. The recipes are `recipes/tiny_*.yaml`.
"""
