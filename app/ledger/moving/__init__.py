"""A ledger moves from a data folder to a database, or back. At no moment can both be served.

=======  ==========================  =================================================
state    the folder                  the database
=======  ==========================  =================================================
here     a ledger                    nothing
copied   a ledger                    the same rows without a position: nobody can open it
between  marked as moved, locked up  the same rows without a position
there    marked as moved, locked up  a ledger
=======  ==========================  =================================================

Each step from one to the next is one transaction of one of the two, in either direction. So whoever is killed
leaves one of these states, and the same command goes on from it.
"""
