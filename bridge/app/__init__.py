"""bridge/app"""
