"""bridge/service"""
