// Names and focus that the theme leaves out, for screen readers and the keyboard.
(() => {
  "use strict";

  const give = () => {
    document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])").forEach((wrap) => {
      wrap.tabIndex = 0;
    });
    document.querySelectorAll(".md-code__nav").forEach((nav, number) => {
      nav.setAttribute("aria-label", `Code block ${number + 1}`);
    });
  };
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  give();
  // The theme makes some of these later.
  new MutationObserver(give).observe(document.body, { childList: true, subtree: true });
})();
