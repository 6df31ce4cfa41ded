"""What has changed since the video: `python -m common.old_calls my_script.py` says it of your script, line by line.

facts.toml     the table: each old call, what it does today, what to write instead, and the lesson that explains it
facts.py       reads the table
source.py      reads somebody's script or notebook and says which name means what in it
search.py      finds the rows of the table in a script
rules.py       finds those old calls that need more than a name
mistakes.py    finds what runs and is wrong
proposal.py    writes the changes that are certain
__main__.py    the command
"""
