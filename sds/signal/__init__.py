"""sds/signal"""
