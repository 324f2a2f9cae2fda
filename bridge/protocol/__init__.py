"""bridge/protocol"""
