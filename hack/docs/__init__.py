"""Programs for the documentation: references that are generated, checks of all pages, and the site.

`pages` finds the pages and `markdown` reads them. `crd_reference` and `values_reference` write the two
references. `checks` looks for broken links and for lines with two sentences. `site` prepares the site.
"""
