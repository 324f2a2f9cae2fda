"""sds/similarity"""
