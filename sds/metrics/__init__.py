"""sds/metrics"""
