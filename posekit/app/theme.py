"""How the page looks: one accent colour, the visitor's own fonts, light and dark."""

from __future__ import annotations

from importlib import resources

import gradio as gr

__all__ = ["page_css", "page_theme"]

# Vermilion, and greys with a trace of it.
ACCENT = gr.themes.Color(
    name="vermilion", c50="#fdf3ef", c100="#fae3da", c200="#f5c6b5", c300="#f0a288", c400="#ee7f5a",
    c500="#dd5a30", c600="#bb431d", c700="#9a3617", c800="#7a2c15", c900="#5c2414", c950="#36150b",
)  # fmt: skip
GREY = gr.themes.Color(
    name="paper", c50="#faf9f7", c100="#f3f1ee", c200="#e6e3de", c300="#d2cec7", c400="#a39e96",
    c500="#77726a", c600="#5a564f", c700="#413e39", c800="#2b2926", c900="#1d1b19", c950="#141311",
)  # fmt: skip
# Fonts that are there already: nothing is fetched.
TEXT = (
    "Seravek",
    "Gill Sans Nova",
    "Ubuntu",
    "Calibri",
    "DejaVu Sans",
    "source-sans-pro",
    "sans-serif",
)
CODE = ("ui-monospace", "Cascadia Code", "SF Mono", "Menlo", "DejaVu Sans Mono", "monospace")
# Of gradio's own parts: few lines, no boxes in boxes.
PARTS = {
    "body_background_fill": "*neutral_50",
    "body_background_fill_dark": "*neutral_950",
    "body_text_color": "*neutral_900",
    "body_text_color_dark": "*neutral_100",
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_400",
    "background_fill_primary": "#ffffff",
    "background_fill_primary_dark": "*neutral_900",
    "background_fill_secondary": "*neutral_50",
    "background_fill_secondary_dark": "*neutral_950",
    "block_background_fill": "transparent",
    "block_background_fill_dark": "transparent",
    "block_border_width": "0px",
    "block_border_width_dark": "0px",
    "block_shadow": "none",
    "block_shadow_dark": "none",
    "block_label_text_color": "*neutral_600",
    "block_title_text_color": "*neutral_800",
    "block_title_text_color_dark": "*neutral_200",
    "block_title_text_weight": "600",
    "block_title_text_size": "*text_sm",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_400",
    "block_padding": "6px 0",
    "border_color_primary": "*neutral_200",
    "border_color_primary_dark": "*neutral_800",
    "input_background_fill": "#ffffff",
    "input_background_fill_dark": "*neutral_900",
    "input_border_color": "*neutral_300",
    "input_border_color_dark": "*neutral_700",
    "input_border_width": "1px",
    "input_border_width_dark": "1px",
    "input_shadow": "none",
    "input_shadow_focus": "0 0 0 2px *primary_300",
    "input_shadow_focus_dark": "0 0 0 2px *primary_700",
    "input_placeholder_color": "*neutral_500",
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_dark": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "button_primary_background_fill_hover_dark": "*primary_700",
    "button_primary_text_color": "#ffffff",
    "button_secondary_background_fill": "transparent",
    "button_secondary_background_fill_dark": "transparent",
    "button_secondary_border_color": "*neutral_300",
    "button_secondary_border_color_dark": "*neutral_700",
    "button_border_width": "1px",
    "checkbox_background_color_selected": "*primary_600",
    "checkbox_background_color_selected_dark": "*primary_600",
    "checkbox_label_background_fill": "transparent",
    "checkbox_label_background_fill_dark": "transparent",
    "checkbox_label_background_fill_selected": "transparent",
    "checkbox_label_background_fill_selected_dark": "transparent",
    "slider_color": "*primary_600",
    "slider_color_dark": "*primary_500",
    "link_text_color": "*primary_700",
    "link_text_color_dark": "*primary_400",
}


def page_theme() -> gr.themes.Base:
    """The theme of gradio's own parts."""
    theme = gr.themes.Base(
        primary_hue=ACCENT,
        secondary_hue=ACCENT,
        neutral_hue=GREY,
        font=list(TEXT),
        font_mono=list(CODE),
        radius_size=gr.themes.sizes.radius_sm,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
    )
    return theme.set(**PARTS)


def page_css() -> str:
    """The style of the page's own parts."""
    return (resources.files("posekit.app") / "static" / "page.css").read_text(encoding="utf-8")
