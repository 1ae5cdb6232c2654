"""One HTML file to hear and see how stretchers differ: comparison -> measures and sound files -> page.

What the browser runs stands beside the Python, in `player.js`, `views.js`, `abx.js`, `main.js`, `style.css` and `page.html`.
"""
