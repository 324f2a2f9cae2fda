"""bridge/files"""
