// Posts the form that brings a signed answer to an application.
"use strict";

HTMLFormElement.prototype.submit.call(document.querySelector("form[data-saml]"));
