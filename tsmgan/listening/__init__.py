"""One HTML file to hear and see how stretchers differ.

In the order of the data: `excerpt` (part of a recording), `comparison` (renderings, with their `field` and `figures`), `sound` and
`loudness` (equally loud sound files), `measure_table`, and `page`, which puts all together. The page's code is in `player.js`, `views.js`,
`abx.js`, `opinion.js`, `main.js`, `style.css` and `page.html`. `picture` draws what `tsmgan plot` writes, in the page's colours (`scales`).
"""
