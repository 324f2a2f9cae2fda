"""sds/detection"""
