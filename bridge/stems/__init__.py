"""bridge/stems"""
