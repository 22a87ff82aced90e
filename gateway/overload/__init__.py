"""What happens when more is asked for than this process can do.

`pressure` watches the `machine` and says how many `seats` there are; `door` answers again those
whom `shed_load` has refused a moment ago.
"""
