"""sds/separation"""
