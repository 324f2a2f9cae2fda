"""bridge/osc"""
