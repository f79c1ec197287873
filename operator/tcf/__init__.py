"""The cluster-federation operator: which of several clusters is the active one?"""
