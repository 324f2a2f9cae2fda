"""bridge/execution"""
